// The settings as JSON: to copy, to change, to load.

// read() gives them, load(text) takes them or throws an Error, say(text) tells the reader.
function makeSettingsBox({ read, load, say }) {
  const text = make("textarea", "", { rows: 8, spellcheck: false });
  text.setAttribute("aria-label", "Settings as JSON");
  let edited = false; // then the text is the reader's, and stays
  text.oninput = () => (edited = true);
  const show = () => {
    if (root.open && !edited) text.value = JSON.stringify(read(), null, 2);
  };
  function take(json) {
    try {
      load(json);
      edited = false;
      show();
      say("Settings loaded.");
    } catch (error) {
      say(error.message); // nothing has changed, and the text is still there
    }
  }
  const file = make("input", "dm-file", { type: "file", accept: ".json,application/json" });
  file.setAttribute("aria-label", "Load settings from a file");
  file.onchange = async () => {
    if (file.files[0]) take(await file.files[0].text());
    file.value = ""; // the same file may be chosen again
  };
  const root = make("details", "dm-settings", {}, [
    make("summary", "", { textContent: "Settings as JSON" }),
    text,
    make("div", "dm-bar", {}, [
      makeButton("Load this text", "Load the settings in the text", () => take(text.value)), file,
    ]),
  ]);
  root.ontoggle = show;
  async function copy() {
    root.open = true;
    edited = false;
    show();
    text.select();
    try {
      await navigator.clipboard.writeText(text.value);
      say("Copied. Mute, solo and bypass are not part of it.");
    } catch {
      say("Copy the text below. Mute, solo and bypass are not part of it."); // no access to the clipboard
    }
  }
  return { root, show, copy };
}
