// Text as the keys of a US keyboard, which is what QEMU's VNC server takes keys for.

const ROWS = [
  ["Backquote Digit1 Digit2 Digit3 Digit4 Digit5 Digit6 Digit7 Digit8 Digit9 Digit0 Minus Equal", "`1234567890-=", "~!@#$%^&*()_+"],
  ["KeyQ KeyW KeyE KeyR KeyT KeyY KeyU KeyI KeyO KeyP BracketLeft BracketRight Backslash", "qwertyuiop[]\\", "QWERTYUIOP{}|"],
  ["KeyA KeyS KeyD KeyF KeyG KeyH KeyJ KeyK KeyL Semicolon Quote", "asdfghjkl;'", "ASDFGHJKL:\""],
  ["KeyZ KeyX KeyC KeyV KeyB KeyN KeyM Comma Period Slash", "zxcvbnm,./", "ZXCVBNM<>?"],
];
const SHIFT = { keysym: 0xffe1, code: "ShiftLeft" };

const KEYS = new Map([
  [" ", { keysym: 0x20, code: "Space", shift: false }],
  ["\n", { keysym: 0xff0d, code: "Enter", shift: false }],
  ["\t", { keysym: 0xff09, code: "Tab", shift: false }],
]);
for (const [codes, plain, shifted] of ROWS) {
  codes.split(" ").forEach((code, place) => {
    KEYS.set(plain[place], { keysym: plain.charCodeAt(place), code, shift: false });
    KEYS.set(shifted[place], { keysym: shifted.charCodeAt(place), code, shift: true });
  });
}

// A keyboard holds few keys that nobody has taken yet, and an emulated machine takes its time.
const PAUSE_MS = 15;
const pause = () => new Promise((done) => setTimeout(done, PAUSE_MS));

// Press the keys of a text, one after the other; answers the characters that no such keyboard has.
export async function type(rfb, text) {
  const missing = new Set();
  for (const character of text.replace(/\r\n?/g, "\n")) {
    const key = KEYS.get(character);
    if (!key) {
      missing.add(character);
      continue;
    }
    if (key.shift) rfb.sendKey(SHIFT.keysym, SHIFT.code, true);
    rfb.sendKey(key.keysym, key.code);
    if (key.shift) rfb.sendKey(SHIFT.keysym, SHIFT.code, false);
    await pause();
  }
  return [...missing];
}
