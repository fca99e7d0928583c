// One clock for the players of a group: a comparison goes on at the same position.
for (const group of document.querySelectorAll(".dm-sounds:not([data-ready])")) {
  group.dataset.ready = "";
  const players = [...group.querySelectorAll("audio")];
  const buttons = [...group.querySelectorAll("button")];
  let active = players[0]; // the player that holds the clock

  const moveClockTo = (player) => {
    if (player === active) return;
    const position = active.ended ? 0 : active.currentTime;
    active.pause();
    active = player;
    player.currentTime = player.duration <= position ? 0 : position;
  };
  const switchTo = (player) => {
    moveClockTo(player);
    player.play();
  };
  const showPlaying = () =>
    buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(!players[i].paused)));

  players.forEach((player) => {
    player.addEventListener("play", () => {
      moveClockTo(player);
      for (const other of document.querySelectorAll("audio")) if (other !== player) other.pause();
      showPlaying();
    });
    player.addEventListener("pause", showPlaying);
    // A listener may drag the position of any player: it is everybody's position.
    player.addEventListener("seeking", () => {
      if (player !== active) active.currentTime = player.currentTime;
    });
  });
  buttons.forEach((button, i) => button.addEventListener("click", () => switchTo(players[i])));
  showPlaying();

  // JupyterLab has shortcuts on the number keys: not while the focus is in here.
  for (const element of [group, ...players, ...buttons]) element.dataset.lmSuppressShortcuts = "true";
  group.addEventListener("keydown", (event) => {
    const player = players[Number(event.key) - 1];
    if (players.length < 2 || !player || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    switchTo(player);
  });
}
