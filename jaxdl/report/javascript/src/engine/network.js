export function load() {
  throw new Error('no engine');
}
