// Uploads an artifact as it is, and leads to the page of its version, which a worker then loads by trial.
const form = document.getElementById("upload"), told = document.getElementById("told");
form.hidden = false;
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const [file] = document.getElementById("artifact").files;
  told.textContent = `Sending ${file.name}…`;
  const headers = { "Content-Type": "application/octet-stream" };
  try {
    const query = document.getElementById("without-guard").checked ? "?without_guard=true" : "";
    const answer = await fetch(form.dataset.upload + query, { method: "POST", headers, body: file });
    const said = await answer.json();
    if (answer.ok) location.assign(form.dataset.pages + said.id);
    else told.textContent = said.detail;
  } catch {
    told.textContent = "The service can't be reached. Try again.";
  }
});
