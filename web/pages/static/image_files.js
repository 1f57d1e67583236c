// The rule of shared/contract/image_files.py, for the files of a folder. A test holds the two against each other.

export const HEAD_BYTES = 32;
const SYSTEM = ["__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir"];
const EXTENSION = /\.(jpe?g|jpe|jfif|png|webp|bmp|tiff?)$/i;
const MAGIC = [
  /^(\r\n)?\xff\xd8\xff/,
  /^\x89PNG\r\n\x1a\n/,
  /^RIFF[^]{4}WEBP/,
  /^BM([^]{0,15}$|[^]{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0\0\0)/,
  /^(II[*+]\0|MM\0[*+])/,
];

// Why a file is skipped unread, or "". `path` is relative to the chosen folder.
export function skipByName(path) {
  for (const part of path.replaceAll("\\", "/").split("/")) {
    if (part.startsWith("._") || part === ".DS_Store" || SYSTEM.includes(part.toLowerCase())) {
      return "a file of the operating system";
    }
    if (part.startsWith(".") && part !== "." && part !== "..") return "hidden";
  }
  return "";
}

// Why a file with these first bytes is skipped, or "". `head` has a character for each byte.
export function skipByContent(head) {
  if (!head) return "the file is empty";
  return MAGIC.some((start) => start.test(head)) ? "" : "not a JPEG, PNG, WebP, BMP or TIFF image";
}

// Whether the extension says that the file is an image.
export function claimsImage(name) {
  return EXTENSION.test(name);
}
