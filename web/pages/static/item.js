// The page of an item: the heatmap's slider, zoom, and the arrow keys for the previous and the next item.
import { keepAsking } from "./drawings.js";

const look = document.getElementById("look");

if (look) {
  const opacity = document.getElementById("opacity"), zoom = document.getElementById("zoom");
  const show = () => {
    look.style.setProperty("--heat", opacity.value / 100);
    look.style.setProperty("--zoom", zoom.value / 100);
  };
  opacity.addEventListener("input", show);
  zoom.addEventListener("input", show);
  show();
  keepAsking(look);
}

addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.target.matches("input, textarea, select")) return;
  const rel = { ArrowLeft: "prev", ArrowRight: "next" }[event.key];
  const link = rel && document.querySelector(`a[rel=${rel}]`);
  if (link) link.click();
});
