/* What keys mean is the page's business only while nobody types, and without the browser's own shortcuts. */
export function typing(target) {
  return target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
}

export function isPlain(event) {
  return !event.ctrlKey && !event.metaKey && !event.altKey && !typing(event.target);
}
