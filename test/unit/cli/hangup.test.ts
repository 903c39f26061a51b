import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type HangupFacts, isHangupToBeIgnored } from '#src/cli/hangup.js'

const status = (ignored: string) => `Name:\tsh\nSigBlk:\t0000000000000000\nSigIgn:\t${ignored}\nSigCgt:\t0000000100004602\n`
const PLAIN: HangupFacts = {
  own: status('0000000001001000'),
  parent: status('0000000000001000'),
  started: '/usr/bin/ringtap',
  stdin: '/dev/null',
  stdinInfo: 'pos:\t0\nflags:\t02100000\nmnt_id:\t25\n',
}

test('SIGHUP is ignored where it was at the start, as far as that can be told', () => {
  const cases: [facts: Partial<HangupFacts>, ignored: boolean][] = [
    [{}, false],
    [{ own: status('0000000001001001') }, true],
    [{ parent: status('0000000000000003') }, true],
    // SIGINT is the second bit.
    [{ parent: status('0000000000000002') }, false],
    [{ started: '/usr/bin/nohup' }, true],
    [{ started: 'nohup' }, true],
    [{ started: '/opt/nohup-not' }, false],
    [{ started: undefined, own: undefined, parent: undefined, stdin: undefined, stdinInfo: undefined }, false],
    [{ stdinInfo: 'pos:\t0\nflags:\t0100001\n' }, true],
    // A terminal, or a file, that can only be written is none of nohup's.
    [{ stdin: '/tmp/x', stdinInfo: 'pos:\t0\nflags:\t0100001\n' }, false],
    [{ stdinInfo: 'pos:\t0\nflags:\t0100002\n' }, false],
  ]
  for (const [facts, ignored] of cases) assert.equal(isHangupToBeIgnored({ ...PLAIN, ...facts }), ignored, JSON.stringify(facts))
})
