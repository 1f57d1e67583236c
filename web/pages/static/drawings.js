// A drawing that no worker has made yet is asked for again, for two minutes: a heatmap
// takes a worker a second, and others may have asked first.

const MOST = 8;
const PAUSE_MS = 3000, LONGEST_PAUSE_MS = 9000;
const tries = new WeakMap();

function askAgain(image) {
  const tried = tries.get(image) || 0;
  if (tried >= MOST) return;
  tries.set(image, tried + 1);
  setTimeout(() => { if (image.isConnected) image.src = image.src; }, Math.min(PAUSE_MS * (tried + 1), LONGEST_PAUSE_MS));
}

// Watch the images below an element, those included that come later.
export function keepAsking(root) {
  root.addEventListener("error", ({ target }) => { if (target.nodeName === "IMG") askAgain(target); }, true);
  // The error of an image that failed before this script ran is not told again.
  for (const image of root.querySelectorAll("img")) {
    if (image.loading !== "lazy" && image.complete && !image.naturalWidth) image.src = image.src;
  }
}
