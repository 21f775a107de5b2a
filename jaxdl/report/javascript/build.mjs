// Bundles src/main.js into ../page.js, the script of the report page.
//   node build.mjs          writes the bundle
//   node build.mjs --check  exits with 1 if the bundle in ../page.js is not that of the sources
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = fileURLToPath(new URL('.', import.meta.url));
const bundle = fileURLToPath(new URL('../page.js', import.meta.url));

const result = await build({
  absWorkingDir: here,
  entryPoints: ['src/main.js'],
  bundle: true,
  format: 'iife',
  target: 'es2022',
  charset: 'ascii',
  minifyWhitespace: true,
  legalComments: 'none',
  write: false,
});
const text = `'use strict';\n${result.outputFiles[0].text}`;

if (process.argv.includes('--check')) {
  const found = await readFile(bundle, 'utf8').catch(() => '');
  if (found !== text) {
    console.error('jaxdl/report/page.js is not the bundle of its sources: run `npm run build`');
    process.exit(1);
  }
} else {
  await writeFile(bundle, text);
}
