// The page of an item: the heatmap's slider, zoom, and the arrow keys for the previous and the next item.
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
  // A drawing that no worker has made yet is asked for again, a few times.
  for (const image of look.querySelectorAll("img")) {
    let tries = 0;
    image.addEventListener("error", () => {
      tries += 1;
      if (tries <= 4) setTimeout(() => { image.src = image.src; }, 3000 * tries);
    });
    if (image.complete && !image.naturalWidth) image.src = image.src;
  }
}

addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.target.matches("input, textarea, select")) return;
  const rel = { ArrowLeft: "prev", ArrowRight: "next" }[event.key];
  const link = rel && document.querySelector(`a[rel=${rel}]`);
  if (link) link.click();
});
