// The page of reviews: each key presses its button, once, and no verdict is sent before the person can have seen the image.
const LOOK_MS = 300; // a second press of a key that was meant for the item before
const judge = document.getElementById("judge"), image = document.querySelector(".look .whole");
let pressed = false;

const seen = () => setTimeout(() => { if (judge) judge.dataset.seen = ""; }, LOOK_MS);
const missing = (is) => { const words = document.getElementById("no-image"); if (words) words.hidden = !is; };
if (!image || (image.complete && image.naturalWidth)) seen();
else {
  image.addEventListener("load", () => { missing(false); seen(); });
  image.addEventListener("error", () => missing(true));
  // An image that failed before this script ran is not told again.
  missing(image.complete);
}

// A verdict waits for the image, and a skip for the moment of a second press.
const begun = performance.now();
function early(form) {
  if (form.id === "judge") return !("seen" in judge.dataset);
  return form.id === "skip" && performance.now() - begun < LOOK_MS;
}

addEventListener("submit", (event) => {
  if (pressed || early(event.target)) event.preventDefault();
  else pressed = true;
});
// A page that the browser shows again from its memory takes keys again.
addEventListener("pageshow", () => { pressed = false; });

addEventListener("keydown", (event) => {
  const typing = event.target.matches("input[type=text], textarea, select");
  if (typing && event.key === "Escape") event.target.blur();
  if (typing || event.altKey || event.repeat) return;
  const undo = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z";
  if (!undo && (event.ctrlKey || event.metaKey)) return;
  // The space bar presses the button, link or slider that has the focus, as everywhere.
  if (event.key === " " && event.target.closest("button, a, input, summary")) return;
  const button = document.querySelector(`button[data-key="${undo ? "u" : CSS.escape(event.key.toLowerCase())}"]`);
  if (!button) return;
  event.preventDefault();
  button.click();
});
