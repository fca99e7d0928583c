// Small helpers for making the page.

// make("button", { type: "button", onclick: f, "aria-label": "Play" }, "Play", other)
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const button = (text, onclick, properties = {}) =>
  make("button", { type: "button", onclick, ...properties }, text);

const capital = (text) => text[0].toUpperCase() + text.slice(1);

// Tell everybody, also those who hear the screen. The same words twice are told twice.
function say(text) {
  const said = document.getElementById("said");
  said.textContent = "";
  setTimeout(() => (said.textContent = text), 30);
}
