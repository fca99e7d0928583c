// What Python draws of an explorer: picture, caption and players. It comes as HTML when this view asks for it
// and again whenever a slider has moved. Nothing of it is in the widget's state, so a notebook stays small.
function render({ model, el }) {
  const screen = document.createElement("div");
  el.append(screen);

  const show = (html) => {
    const players = () => [...screen.querySelectorAll("audio")];
    const playing = players().findIndex((player) => !player.paused);
    const position = players()[Math.max(playing, 0)]?.currentTime ?? 0;
    screen.innerHTML = html;
    for (const old of screen.querySelectorAll("script")) { // a script set with innerHTML does not run
      const script = document.createElement("script");
      script.textContent = old.textContent;
      old.replaceWith(script);
    }
    // The sound goes on where it was. The first player holds the clock of a new group.
    // A browser may refuse to play before the first click on a page: then the listener starts it.
    if (position && players().length) players()[0].currentTime = position;
    if (playing >= 0) players()[playing].play().catch(() => {});
  };

  const complain = (text) => {
    const line = document.createElement("p");
    line.setAttribute("role", "alert");
    line.textContent = text;
    screen.replaceChildren(line);
  };

  const onMessage = (message) => {
    if (message.type === "show") show(message.html);
    if (message.type === "error") complain(message.text);
  };
  model.on("msg:custom", onMessage);
  model.send({ type: "ready" });
  return () => model.off("msg:custom", onMessage);
}

export default { render };
