// The pixels of the images of the page's examples.

/** Resolves to a function (place) → Uint8Array [H · W · C] of an example, from the picture of all. */
export async function pixelsOf(examples, shape) {
  const picture = new Image();
  picture.src = examples.sprite;
  await picture.decode();
  const canvas = document.createElement('canvas');
  const [height, width] = examples.size;
  const channels = shape[2] ?? 1;
  canvas.width = picture.naturalWidth;
  canvas.height = picture.naturalHeight;
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  return (place) => {
    const left = (place % examples.columns) * width;
    const top = Math.floor(place / examples.columns) * height;
    const { data } = context.getImageData(left, top, width, height);
    const pixels = new Uint8Array(height * width * channels);
    for (let pixel = 0; pixel < height * width; pixel += 1) {
      for (let channel = 0; channel < channels; channel += 1) {
        pixels[pixel * channels + channel] = data[4 * pixel + channel];
      }
    }
    return pixels;
  };
}
