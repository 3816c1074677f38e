// Gathers the pieces of the service for serverless.yml: each YAML file in this folder
// may have `functions` and `resources`, as serverless.yml itself would.

const { readFileSync, readdirSync } = require('node:fs');
const { join } = require('node:path');
const yaml = require.main.require('js-yaml'); // osls brings it, and reads the pieces with it

const SECTIONS = ['functions', 'resources'];

// Tags such as !Ref are for osls to understand.
const kinds = ['scalar', 'sequence', 'mapping'];
const tags = kinds.map((kind) => new yaml.Type('!', { kind, multi: true }));
const schema = yaml.DEFAULT_SCHEMA.extend(tags);

// A section can also be a variable, such as ${file(...)}.
const canBeSection = (value) =>
  value === null || value.constructor === Object || /^\$\{/.test(value);

// osls passes over what it does not expect. Here the build stops, with the reason.
function check(piece) {
  if (!/\.ya?ml$/.test(piece)) throw new Error('the name of a piece must end in .yml');
  const bytes = readFileSync(join(__dirname, piece));
  const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  const content = yaml.load(text, { schema }) ?? {};
  const names = Object.keys(content);
  if (names.length === 0) throw new Error('nothing in it');
  const unknown = names.find((name) => !SECTIONS.includes(name));
  if (unknown) throw new Error(`"${unknown}" is not a section of a piece`);
  const wrong = names.find((name) => !canBeSection(content[name]));
  if (wrong) throw new Error(`"${wrong}" must be a mapping`);
}

const pieces = readdirSync(__dirname)
  .filter((name) => /^[^.].*\.ya?ml(\.txt)?$/is.test(name))
  .sort();

for (const piece of pieces) {
  try {
    check(piece);
  } catch ({ message }) {
    const [reason] = message.split('\n');
    const error = new Error(
      `infra/${piece}: ${reason}. A piece has ${SECTIONS.join(' and ')}, at the left margin.`,
    );
    error.stack = error.message; // osls shows the whole stack, where the message would be lost
    throw error;
  }
}

// The quotes let a name have any character, also a comma.
const gather = (section) =>
  pieces.map((piece) => `\${file(${JSON.stringify(`infra/${piece}`)}):${section}, null}`);

module.exports = { functions: gather('functions'), resources: gather('resources') };
