// A drawing that no worker has made yet is asked for again, a few times.

const MOST = 4;
const PAUSE_MS = 3000;
const tries = new WeakMap();

function askAgain(image) {
  const tried = tries.get(image) || 0;
  if (tried >= MOST) return;
  tries.set(image, tried + 1);
  setTimeout(() => { if (image.isConnected) image.src = image.src; }, PAUSE_MS * (tried + 1));
}

// Watch the images below an element, those included that come later.
export function keepAsking(root) {
  root.addEventListener("error", ({ target }) => { if (target.nodeName === "IMG") askAgain(target); }, true);
  // The error of an image that failed before this script ran is not told again.
  for (const image of root.querySelectorAll("img")) {
    if (image.loading !== "lazy" && image.complete && !image.naturalWidth) image.src = image.src;
  }
}
