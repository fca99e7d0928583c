// Where the widget manager finds anywidget and its own fonts: here, not on a CDN.
const here = new URL(".", document.currentScript.src).href;
requirejs.config({
  paths: { anywidget: `${here}anywidget/index`, "@jupyter-widgets/html-manager/dist": `${here}html-manager` },
});

// ipywidgets typesets its labels with MathJax 2's queue; the pages have MathJax 3, which the load event waits for.
addEventListener("load", () => {
  if (window.MathJax) MathJax.Hub = { Queue: ([, , element]) => MathJax.typesetPromise([element]) };
});
