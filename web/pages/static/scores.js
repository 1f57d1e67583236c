// The histogram of a batch's scores: move a bound, see at once what changes, apply. Counts and the names of some parts
// come from bins that are loaded once and do not know the verdicts of persons; a moment later the service counts exactly
// and names the first hundred parts.

const panel = document.getElementById("scores");
const form = document.getElementById("rescore");
const BARS = 100, REST_MS = 250, MOST_NAMED = 100;
const WORDS = { defect: "defect", review: "review", no_defect: "no defect" };
let scores = null, asked = 0;

const inputs = form ? { low: form.elements.low, threshold: form.elements.threshold, high: form.elements.high } : null;

function present() {
  const [low, high] = scores.operating_point.review_band;
  return { low, threshold: scores.operating_point.threshold, high };
}

function chosen() {
  return { low: Number(inputs.low.value), threshold: Number(inputs.threshold.value), high: Number(inputs.high.value) };
}

// The verdict of a score, as the service decides it.
function verdict(score, point) {
  if (point.low < point.high && score >= point.low && score <= point.high) return "review";
  return score >= point.threshold ? "defect" : "no_defect";
}

const middle = (bin) => (bin + 0.5) / scores.bins;

// "defect>no_defect" → how many items, or parts, change so.
function changes(rows, before, after, ofHeld) {
  const found = new Map();
  const add = (from, to, count) => {
    if (from !== to && count) found.set(`${from}>${to}`, (found.get(`${from}>${to}`) || 0) + count);
  };
  for (const [bin, plain, held] of rows) {
    const [from, to] = [verdict(middle(bin), before), verdict(middle(bin), after)];
    add(from, to, plain);
    if (ofHeld) add(ofHeld(from), ofHeld(to), held);
  }
  return found;
}

// A part that another view holds back gets the verdict that one view is enough for, or review.
function partVerdict(of) {
  const enough = scores.part_rule === "all_defect" ? "no_defect" : "defect";
  return of === enough ? enough : "review";
}

function told(found, noun) {
  const parts = [...found].map(([change, count]) => {
    const [from, to] = change.split(">");
    return `${count} ${WORDS[from]} → ${WORDS[to]}`;
  });
  return parts.length ? `${noun}: ${parts.join(", ")}` : `${noun}: no change`;
}

// The parts that change, as far as the bins name them.
function named(before, after) {
  const found = [];
  for (const [bin, ids] of Object.entries(scores.named_parts)) {
    const [from, to] = [verdict(middle(Number(bin)), before), verdict(middle(Number(bin)), after)];
    if (from !== to) for (const part_id of ids) found.push({ part_id, before: from, after: to });
  }
  return found.slice(0, MOST_NAMED);
}

function list(changed) {
  const flips = document.getElementById("flips");
  flips.replaceChildren(...changed.map((flip) => {
    const entry = document.createElement("li");
    entry.textContent = `${flip.part_id}: ${WORDS[flip.before]} → ${WORDS[flip.after]}`;
    return entry;
  }));
  flips.hidden = !changed.length;
}

function draw(point) {
  const stacks = Array.from({ length: BARS }, () => ({ defect: 0, review: 0, no_defect: 0 }));
  const each = scores.bins / BARS;
  for (const [bin, plain, held] of scores.items) {
    const stack = stacks[Math.min(BARS - 1, Math.floor(bin / each))];
    stack[verdict(middle(bin), point)] += plain;
    stack.review += held;
  }
  const totals = stacks.map((stack) => stack.defect + stack.review + stack.no_defect);
  const most = Math.sqrt(Math.max(...totals)) || 1;
  const bars = document.createDocumentFragment();
  stacks.forEach((stack, x) => {
    let top = 100;
    for (const kind of ["defect", "review", "no_defect"]) {
      if (!stack[kind]) continue;
      const height = (100 * Math.sqrt(totals[x]) / most) * (stack[kind] / totals[x]);
      top -= height;
      const bar = document.createElementNS("http://www.w3.org/2000/svg", "rect");
      for (const [name, value] of Object.entries({ class: `part ${kind}`, x, y: top, width: 0.9, height })) {
        bar.setAttribute(name, value);
      }
      bars.append(bar);
    }
  });
  document.getElementById("bars").replaceChildren(bars);
  const band = document.getElementById("band");
  band.setAttribute("x", 100 * point.low);
  band.setAttribute("width", 100 * (point.high - point.low));
  document.getElementById("tick").setAttribute("x", Math.min(99.6, 100 * point.threshold));
}

function show() {
  const began = performance.now();
  const point = chosen();
  for (const [name, input] of Object.entries(inputs)) {
    input.nextElementSibling.textContent = point[name].toFixed(3);
    input.setAttribute("aria-valuetext", point[name].toFixed(3));
  }
  draw(point);
  const lines = [told(changes(scores.items, present(), point), "Images")];
  if (scores.parts.length) lines.push(told(changes(scores.parts, present(), point, partVerdict), "Parts by the model alone"));
  document.getElementById("change").textContent = lines.join(". ");
  list(named(present(), point));
  panel.dataset.tookMs = (performance.now() - began).toFixed(1);
}

// The bounds keep their order: the one that moves pushes the others, which come back to their own places after it.
const own = {};

function move(name) {
  if (!("low" in own)) Object.assign(own, present());
  own[name] = chosen()[name];
  const point = { ...own };
  if (name === "low") {
    point.high = Math.max(own.high, own.low);
  } else if (name === "high") {
    point.low = Math.min(own.low, own.high);
  } else {
    // A band of no width moves with the threshold.
    const empty = present().low === present().high && own.low === own.high;
    point.low = empty ? own.threshold : Math.min(own.low, own.threshold);
    point.high = empty ? own.threshold : Math.max(own.high, own.threshold);
  }
  point.threshold = Math.min(Math.max(point.threshold, point.low), point.high);
  for (const [each, value] of Object.entries(point)) inputs[each].value = value;
  show();
  const turn = (asked += 1);
  setTimeout(() => { if (turn === asked) count(turn); }, REST_MS);
}

// The exact counts, and the parts by name.
async function count(turn) {
  const point = chosen();
  const expected_revision = Number(form.elements.expected_revision.value);
  const body = {
    threshold: point.threshold, review_band: [point.low, point.high], dry_run: true, expected_revision,
  };
  const answer = await fetch(panel.dataset.rescore, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  });
  if (turn !== asked) return;
  const exact = await answer.json();
  if (exact.code === "overtaken") {
    // Another person rescored the batch meanwhile: this page shows bounds that it has no more.
    document.getElementById("change").textContent = `${exact.detail} (reload this page).`;
    panel.dataset.overtaken = "true";
  }
  if (!answer.ok) return;
  const counted = (rows) => new Map(rows.map((row) => [`${row.before}>${row.after}`, row.count]));
  const lines = [told(counted(exact.items), "Images")];
  if (scores.parts.length || exact.parts.length) lines.push(told(counted(exact.parts), "Parts"));
  document.getElementById("change").textContent = lines.join(". ");
  list(exact.flipped_parts);
  panel.dataset.exact = "true";
}

// Dragging in the histogram moves the nearest bound.
function draggable(field) {
  let held = null;
  const at = (event) => {
    const box = field.getBoundingClientRect();
    return Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
  };
  field.addEventListener("pointerdown", (event) => {
    const point = chosen(), place = at(event);
    // Where bounds lie on each other, the threshold goes first.
    held = ["threshold", "low", "high"].reduce((best, name) => (
      Math.abs(point[name] - place) < Math.abs(point[best] - place) - 1e-9 ? name : best));
    field.setPointerCapture(event.pointerId);
    drag(event);
  });
  const drag = (event) => {
    if (!held) return;
    inputs[held].value = at(event).toFixed(3);
    move(held);
  };
  field.addEventListener("pointermove", drag);
  field.addEventListener("pointerup", () => { held = null; });
}

async function begin() {
  const answer = await fetch(panel.dataset.scores);
  if (!answer.ok) return;
  scores = await answer.json();
  document.getElementById("uncounted-scores")?.remove();
  if (!form) return draw(present());
  for (const [name, input] of Object.entries(inputs)) {
    input.addEventListener("input", () => move(name));
    // An arrow key moves by a thousandth; `step=any` would make it a hundredth, and bind the value to no grid.
    input.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 20, PageDown: -20 }[event.key];
      if (!step) return;
      event.preventDefault();
      input.value = Math.min(1, Math.max(0, Math.round(1000 * Number(input.value) + step) / 1000));
      move(name);
    });
  }
  form.addEventListener("reset", () => {
    for (const name of Object.keys(own)) delete own[name];
    setTimeout(show);
  });
  draggable(panel.querySelector(".histogram"));
  show();
  panel.dataset.ready = "true";
}

if (panel) begin();
