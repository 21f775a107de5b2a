// The images of the examples of the page, and tiles that show them.

const SMALLEST = 56; // pixels of the longer side of a tile's image

/** Reads the JSON of a script element; null if the page has none. */
export function data(id) {
  const element = document.querySelector(`script#${id}`);
  return element ? JSON.parse(element.textContent) : null;
}

/** The channels of the images that a network reads. */
export function channelsOf(description) {
  return description.input.shape[2] ?? 1;
}

/** The images of the page by the position of their examples in the split. */
export class Images {
  constructor(examples) {
    this.examples = examples?.sprite ? examples : null;
    this.places = new Map((this.examples?.index ?? []).map((index, place) => [index, place]));
  }

  has(index) {
    return this.places.has(index);
  }

  /** An element with the image of an example; null if the page has no image of it. */
  element(index, smallest = SMALLEST) {
    const place = this.places.get(index);
    if (place === undefined) {
      return null;
    }
    const { columns, size, sprite } = this.examples;
    const [rows, [height, width]] = [Math.ceil(this.places.size / columns), size];
    const scale = smallest / Math.max(height, width);
    const shown = document.createElement('span');
    const [x, y] = [place % columns, Math.floor(place / columns)];
    Object.assign(shown.style, {
      width: `${width * scale}px`,
      height: `${height * scale}px`,
      backgroundImage: `url("${sprite}")`,
      backgroundSize: `${columns * width * scale}px ${rows * height * scale}px`,
      backgroundPosition: `${-x * width * scale}px ${-y * height * scale}px`,
    });
    shown.className = 'image';
    return shown;
  }
}

/** Loads an example into the section "Try it", which then comes into view. */
export function load(index) {
  document.dispatchEvent(new CustomEvent('jaxdl:example', { detail: { index } }));
}

/** A tile of a list: the image of an example and a text; a click loads the example. */
export function tile(images, index, text) {
  const item = document.createElement('li');
  const button = document.createElement('button');
  const caption = document.createElement('span');
  button.type = 'button';
  button.className = 'tile';
  button.dataset.index = index;
  caption.textContent = text;
  button.append(...[images.element(index)].filter(Boolean), caption);
  button.setAttribute('aria-label', `example ${index}: ${text}`);
  button.addEventListener('click', () => load(index));
  item.append(button);
  return item;
}
