// The desk on a page without a kernel.

// Stands in for the model of a live kernel: the state and the audio are in the page.
class PageModel {
  constructor({ audio, scales, ...state }) {
    Object.assign(this, { audio, scales, state, listeners: [] });
  }
  get(key) {
    return this.state[key];
  }
  set(key, value) {
    this.state[key] = value;
    this.emit(`change:${key}`);
  }
  save_changes() {}
  on(name, listener) {
    this.listeners.push({ name, listener });
  }
  off(name, listener) {
    this.listeners = this.listeners.filter((other) => other.name !== name || other.listener !== listener);
  }
  emit(name, ...values) {
    this.listeners.filter((other) => other.name === name).forEach(({ listener }) => listener(...values));
  }
  send() {
    const files = this.audio.map((text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)));
    this.emit("msg:custom", { type: "audio", scales: this.scales }, files);
  }
}

export function renderStatic() {
  for (const el of document.querySelectorAll(".dm-desk[data-static]")) {
    delete el.dataset.static; // each desk of a page is set up once
    const cleanup = render({ model: new PageModel(JSON.parse(el.nextElementSibling.textContent)), el });
    // Here nobody says that the desk has left the page; without its Stop button it must not go on sounding.
    const watch = new MutationObserver(() => {
      if (el.isConnected) return;
      watch.disconnect();
      cleanup();
    });
    watch.observe(document, { childList: true, subtree: true });
  }
}
