'use strict';
// All workflows of these tests, by program and by name. A worker runs those of some programs; the driver triggers any.

const programs = {
  workflows: require('./workflows'),
  eventful: require('./eventful'),
  timed: require('./timed'),
  limited: require('./limited'),
  metered: require('./metered'),
  conditional: require('./conditional'),
  observed: require('./observed'),
};

// The workflows of the named programs, declared on a client, by name.
function build(hatchet, names = Object.keys(programs)) {
  return Object.assign({}, ...names.map((name) => programs[name].build(hatchet)));
}

module.exports = { build };
