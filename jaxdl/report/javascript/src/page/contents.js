/** Marks the section that is being read in the table of contents; a choice closes it on a phone. */
export function start() {
  const nav = document.querySelector('nav.contents');
  if (!nav) return;
  const details = nav.querySelector('details');
  const wide = window.matchMedia('(min-width: 64rem)');
  const adapt = () => {
    details.open = wide.matches;
  };
  wide.addEventListener('change', adapt);
  adapt();
  const links = new Map(
    [...nav.querySelectorAll('a')].map(link => [link.getAttribute('href').slice(1), link]),
  );
  for (const link of links.values()) {
    link.addEventListener('click', () => {
      if (!wide.matches) details.open = false;
    });
  }
  const mark = id => {
    for (const [other, link] of links) {
      if (other === id) link.setAttribute('aria-current', 'true');
      else link.removeAttribute('aria-current');
    }
  };
  const headings = [...document.querySelectorAll('main h2[id]')].filter(one => links.has(one.id));
  const observer = new IntersectionObserver(
    () => {
      const above = headings.filter(one => one.getBoundingClientRect().top < 160);
      mark((above[above.length - 1] ?? headings[0]).id);
    },
    { rootMargin: '0px 0px -75% 0px' },
  );
  for (const heading of headings) observer.observe(heading);
}
