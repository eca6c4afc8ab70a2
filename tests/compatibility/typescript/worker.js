'use strict';
// A worker of the official TypeScript client, in a process of its own: `node worker.js '{"name": …, "slots": …}'`.

const { HatchetClient } = require('@hatchet-dev/typescript-sdk/v1');
const { build } = require('./workflows');

async function main() {
  const options = JSON.parse(process.argv[2]);
  const hatchet = HatchetClient.init();
  const workflows = build(hatchet);
  const worker = await hatchet.worker(options.name, {
    slots: options.slots ?? 10,
    labels: options.labels ?? {},
    workflows: options.only ? options.only.map((name) => workflows[name]) : Object.values(workflows),
  });
  await worker.start();
}

main().catch((problem) => {
  console.error(problem);
  process.exit(1);
});
