/** Enlarges a picture in a dialog, by a click on it or with the keyboard. */
export function start() {
  const dialog = document.querySelector('dialog.enlarged');
  if (!dialog) return;
  const pictures = [...document.querySelectorAll('figure.picture')];
  const [image, title] = [dialog.querySelector('img'), dialog.querySelector('.title')];
  const frame = dialog.querySelector('.frame');
  let at = 0;
  const show = index => {
    at = (index + pictures.length) % pictures.length;
    const shown = pictures[at].querySelector('img');
    image.src = shown.src;
    image.alt = shown.alt;
    for (const side of ['width', 'height']) image[side] = Number(shown.getAttribute(side));
    image.style.aspectRatio = `${image.width} / ${image.height}`;
    title.textContent = shown.alt;
    frame.classList.toggle('fitted', !isNarrow());
    frame.scrollTo(0, 0);
  };
  const open = index => {
    show(index);
    dialog.showModal();
  };
  pictures.forEach((figure, index) => {
    figure.querySelector('button.enlarge').addEventListener('click', () => open(index));
  });
  dialog.querySelector('.close').addEventListener('click', () => dialog.close());
  dialog.querySelector('.before').addEventListener('click', () => show(at - 1));
  dialog.querySelector('.next').addEventListener('click', () => show(at + 1));
  dialog.querySelector('.size').addEventListener('click', () => frame.classList.toggle('fitted'));
  dialog.addEventListener('keydown', event => {
    const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (move === undefined || frame.scrollWidth > frame.clientWidth + 1) return;
    event.preventDefault();
    show(at + move);
  });
  dialog.addEventListener('click', event => {
    if (event.target === dialog) dialog.close(); // a click beside the dialog
  });
}

function isNarrow() {
  return window.matchMedia('(max-width: 40rem)').matches;
}
