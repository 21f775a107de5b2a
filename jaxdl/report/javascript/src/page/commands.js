/** A command breaks between its words: each word becomes an element. */
export function start() {
  for (const code of document.querySelectorAll('pre.command code')) {
    code.replaceChildren(
      ...code.textContent
        .split(/( +)/)
        .map(text =>
          text.trim() ? Object.assign(document.createElement('span'), { textContent: text }) : text,
        ),
    );
  }
}
