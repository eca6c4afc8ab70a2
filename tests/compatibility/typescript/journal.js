'use strict';
// What tasks write while they run: one JSON line each, the same form as programs/journal.py, so that a test can
// compare what ran with what was asked for. One append per line, so lines of several processes never mix.

const { appendFileSync } = require('node:fs');

function write(kind, facts) {
  const line = JSON.stringify({ kind, pid: process.pid, at: Date.now() / 1000, ...facts });
  appendFileSync(process.env.JOURNAL, `${line}\n`);
}

module.exports = { write };
