'use strict';
// A client program of the official TypeScript client that does what it reads: one JSON request per line on standard
// input, one JSON answer per line on standard output, in the order in which the answers come.

// What the client logs goes to standard error, so that standard output holds answers alone.
globalThis.console = new (require('node:console').Console)(process.stderr);

const { writeFileSync } = require('node:fs');
const { createInterface } = require('node:readline');
const { HatchetClient } = require('@hatchet-dev/typescript-sdk/v1');
const { build } = require('./programs');

const hatchet = HatchetClient.init();
const impatient = HatchetClient.init({ retrier: { maxAttempts: 1 } }); // the other tries a refused push for 13 s
const workflows = build(hatchet);
const references = new Map();

const deeds = {
  // Run and wait; an array as input is a bulk.
  run: ({ workflow, input, options }) => workflows[workflow].run(input, options),
  // Run without waiting: the run's id, or the ids.
  start: async ({ workflow, input, options }) => {
    const found = await workflows[workflow].runNoWait(input, options);
    return Array.isArray(found) ? Promise.all(found.map(remember)) : remember(found);
  },
  // Wait for a run that `start` has begun.
  result: ({ run }) => references.get(run).output,
  // Wait for runs that `start` has begun, however they end: their statuses.
  settled: async ({ runs }) => {
    await Promise.allSettled(runs.map((run) => references.get(run).output));
    return Promise.all(runs.map((run) => hatchet.runs.get_status(run)));
  },
  // The chunks of a run until it ends; the first one makes the file.
  chunks: async ({ run, file }) => {
    const found = [];
    for await (const chunk of hatchet.runs.subscribeToStream(run)) {
      writeFileSync(file, '');
      found.push(chunk);
    }
    return found;
  },
  // A method of a feature of the client, as `events.push`.
  call: ({ feature, method, args }) => hatchet[feature][method](...args),
  // The same, tried once.
  once: ({ feature, method, args }) => impatient[feature][method](...args),
  // A method of a declared workflow or task, as `schedule`.
  declared: ({ workflow, method, args }) => workflows[workflow][method](...args),
  // Register a task of this declaration, as a worker does before it connects.
  register: async ({ declaration }) => {
    const task = hatchet.task({ ...declaration, fn: async () => ({}) });
    await hatchet.worker('registrar', { workflows: [task] });
  },
};

async function remember(reference) {
  const id = await reference.getWorkflowRunId();
  references.set(id, reference);
  return id;
}

async function answer({ id, deed, ...facts }) {
  try {
    write({ id, value: bodyOf(await deeds[deed](facts)) ?? null });
  } catch (problem) {
    write({ id, error: reasonOf(problem) });
  }
}

// Some methods of the client return the whole HTTP exchange; its body is the answer.
function bodyOf(value) {
  return value?.headers && value.config ? value.data : value;
}

function reasonOf(problem) {
  if (problem?.response) return { status: problem.response.status, body: problem.response.data };
  return problem instanceof Error ? problem.message : problem;
}

function write(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

// JSON has no instants; they come as {"$date": text}.
function revive(_, value) {
  return value?.$date ? new Date(value.$date) : value;
}

createInterface({ input: process.stdin })
  .on('line', (line) => answer(JSON.parse(line, revive)))
  .on('close', () => process.exit(0));
