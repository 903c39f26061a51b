import assert from 'node:assert/strict'
import { test } from 'node:test'
import { chooseRungs } from '#src/cli/bench/command.js'
import { parseOurLine } from '#src/cli/bench/ours.js'
import { account, wireLosses } from '#src/cli/bench/run.js'
import { captureArguments, LINE_RATE_10G, RUNGS, rungWorkers } from '#src/cli/bench/rungs.js'
import { parseTwinLine } from '#src/cli/bench/twin.js'

const [recv, , , ringFanout] = RUNGS

test('our own lines are read', () => {
  assert.deepEqual(parseOurLine('{"type":"start"}'), { ready: true })
  assert.deepEqual(parseOurLine('{"type":"interval","packetsPerSecond":12,"dropsPerSecond":3}'), { interval: { received: 12, dropped: 3 } })
  assert.deepEqual(parseOurLine('{"type":"summary","packets":10,"drops":{"ring":2,"socket":0,"unread":1},"dropped":3}'), {
    totals: { received: 10, drops: { ring: 2, socket: 0, unread: 1 } },
  })
  assert.deepEqual(parseOurLine('{"type":"event","event":"interface-down"}'), {})
  assert.deepEqual(parseOurLine('not JSON'), {})
})

test("the twins' lines are read, their drops by the place that the rung loses at", () => {
  assert.deepEqual(parseTwinLine(recv, 'ready'), { ready: true })
  assert.deepEqual(parseTwinLine(recv, '{"packets":5,"bytes":300,"offered":7,"drops":2}'), { totals: { received: 5, drops: { socket: 2 } } })
  assert.deepEqual(parseTwinLine(ringFanout, '{"packets":5,"bytes":300,"offered":7,"drops":2}'), { totals: { received: 5, drops: { ring: 2 } } })
  assert.deepEqual(parseTwinLine(recv, '{"packets":'), {})
})

test('what is neither received nor in a counter is unaccounted, and so is what was never offered', () => {
  assert.equal(account(100, { wire: 10, interface: 5 }, { received: 80, drops: { ring: 5 } }).unaccounted, 0)
  assert.equal(account(100, { wire: 10, interface: 5 }, { received: 80, drops: { ring: 2 } }).unaccounted, 3)
  assert.equal(account(100, { wire: 0, interface: 0 }, { received: 101, drops: {} }).unaccounted, -1)
})

test('losses on the wire are differences, over all counters of the driver', () => {
  const before = { sent: 10, refused: 2, received: 10, receiverDrops: { drops: 1 } }
  const after = { sent: 30, refused: 7, received: 30, receiverDrops: { drops: 2, xdp_drops: 3 } }
  assert.deepEqual(wireLosses(before, after), { wire: 5, interface: 4 })
})

test('only rungs with fanout have more than one worker', () => {
  assert.equal(rungWorkers(recv, 8), 1)
  assert.equal(rungWorkers(ringFanout, 8), 8)
  assert.deepEqual(captureArguments(recv, 1, 'rx', '/proc/1/fd/3').slice(0, 9), [
    'capture',
    '-i',
    'rx',
    '--netns',
    '/proc/1/fd/3',
    '--backend',
    'recv',
    '--workers',
    '1',
  ])
  assert.ok(captureArguments(ringFanout, 8, 'rx', 'x').join(' ').includes('--workers 8 --fanout cpu'))
})

test('rungs are taken in the order of the ladder; an unknown one is refused by name', () => {
  assert.deepEqual(
    chooseRungs(['ring', 'recv']).map((rung) => rung.name),
    ['recv', 'ring'],
  )
  assert.throws(() => chooseRungs(['ring', 'netmap']), /no rung 'netmap'/)
})

test('10G line rate is 14.88 Mpps', () => {
  assert.equal((LINE_RATE_10G / 1e6).toFixed(2), '14.88')
})
