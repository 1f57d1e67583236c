// The counts of two large batches take seconds: this asks for them, and then shows the page with them.

const waits = document.getElementById("uncounted");

async function count() {
  const answer = await fetch(waits.dataset.count);
  if (answer.ok && (await answer.json()).counts) location.reload();
}

if (waits?.dataset.count) count();
