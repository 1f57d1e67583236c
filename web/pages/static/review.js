// The page of reviews: each key presses its button, once.
let pressed = false;

addEventListener("submit", (event) => {
  if (pressed) event.preventDefault();
  pressed = true;
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
