// Gathers the pieces of the service for serverless.yml: each YAML file in this folder
// may have `functions` and `resources`, as serverless.yml itself would.

const { readFileSync, readdirSync } = require('node:fs');
const { join } = require('node:path');

const SECTIONS = ['functions', 'resources'];

const pieces = readdirSync(__dirname)
  .filter((name) => /\.ya?ml$/.test(name))
  .sort();

for (const piece of pieces) {
  const text = readFileSync(join(__dirname, piece), 'utf8');
  const keys = [...text.matchAll(/^["']?(\w+)["']?\s*:/gm)].map((match) => match[1]);
  const unknown = keys.find((key) => !SECTIONS.includes(key));
  if (unknown || keys.length === 0) {
    const error = new Error(
      `infra/${piece}: ${unknown ? `"${unknown}" is not a section of a piece` : 'nothing in it'}. ` +
        `A piece has ${SECTIONS.join(' and ')}, at the left margin.`,
    );
    error.stack = error.message; // osls shows the whole stack, where the message would be lost
    throw error;
  }
}

const gather = (section) => pieces.map((piece) => `\${file(infra/${piece}):${section}, null}`);

module.exports = { functions: gather('functions'), resources: gather('resources') };
