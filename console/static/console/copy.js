// Copy buttons of the front page. Without a script, or without leave to write the clipboard, the text is there to be marked.

const SHOWN_MS = 1500;

function mark(element) {
  const range = document.createRange();
  range.selectNodeContents(element);
  const selection = getSelection();
  selection.removeAllRanges();
  selection.addRange(range);
}

async function copy(button, code) {
  let said = "Copied";
  try {
    await navigator.clipboard.writeText(code.textContent);
  } catch {
    mark(code);
    said = "Press Ctrl-C";
  }
  button.textContent = said;
  setTimeout(() => { button.textContent = "Copy"; }, SHOWN_MS);
}

for (const pre of document.querySelectorAll("pre[data-copy]")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.setAttribute("aria-live", "polite");
  button.addEventListener("click", () => copy(button, pre.querySelector("code")));
  pre.append(button);
}
