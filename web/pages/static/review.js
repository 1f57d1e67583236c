// The page of reviews: each key presses its button, once, and no verdict is sent before the person can have seen the image.
const LOOK_MS = 300; // a second press of a key that was meant for the item before
const judge = document.getElementById("judge"), image = document.querySelector(".look .whole");
let pressed = false;

const seen = () => setTimeout(() => { if (judge) judge.dataset.seen = ""; }, LOOK_MS);
if (!image || image.complete) seen();
else for (const end of ["load", "error"]) image.addEventListener(end, seen, { once: true });

addEventListener("submit", (event) => {
  const early = judge && !("seen" in judge.dataset) && ["judge", "skip"].includes(event.target.id);
  if (pressed || early) event.preventDefault();
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
