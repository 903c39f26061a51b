import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { TextOutput } from '#src/packet/text-output.js'
import { type TimeFormat, TimeText } from '#src/packet/time-text.js'
import { seededRandom } from '../../support/random.js'
import { tcpdumpOutput } from '../../support/tcpdump-text.js'

type Moment = readonly [seconds: number, nanoseconds: number]

const OPTIONS: Record<TimeFormat, readonly string[]> = { local: [], none: ['-t'], epoch: ['-tt'], previous: ['-ttt'], date: ['-tttt'], first: ['-ttttt'] }

function timesOf(format: TimeFormat, nano: boolean, moments: readonly Moment[]): string[] {
  const time = new TimeText(format, nano)
  const out = new TextOutput()
  return moments.map(([seconds, nanoseconds]) => {
    out.clear()
    time.write(out, seconds, nanoseconds)
    return out.toText()
  })
}

/** Nanosecond pcap of packets of one unknown protocol; undefined without tcpdump. */
function tcpdumpTimes(format: TimeFormat, nano: boolean, moments: readonly Moment[], zone?: string): string[] | undefined {
  const packet = Buffer.from('45000014000000004000000000000000000000000000'.slice(0, 40), 'hex')
  const header = Buffer.alloc(24)
  header.writeUInt32LE(0xa1b23c4d, 0)
  header.writeUInt16LE(2, 4)
  header.writeUInt16LE(4, 6)
  header.writeUInt32LE(262144, 16)
  header.writeUInt32LE(101, 20)
  const records = moments.flatMap(([seconds, nanoseconds]) => {
    const record = Buffer.alloc(16)
    record.writeUInt32LE(seconds, 0)
    record.writeUInt32LE(nanoseconds, 4)
    record.writeUInt32LE(packet.length, 8)
    record.writeUInt32LE(packet.length, 12)
    return [record, packet]
  })
  const options = [...OPTIONS[format], ...(nano ? ['--nano'] : ['--micro'])]
  const output = tcpdumpOutput(Buffer.concat([header, ...records]), options, zone === undefined ? {} : { TZ: zone })
  return output
    ?.replace(/\n$/, '')
    .split('\n')
    .map((line) => line.slice(0, line.indexOf('IP')))
}

test('times as tcpdump prints them', (t) => {
  const random = seededRandom(t)
  const moments: Moment[] = []
  let seconds = random.between(1, 2 ** 31 - 200_000)
  for (let i = 0; i < 500; i++) {
    seconds += random.pick([0, 0, 0, 1, 1, 59, 3600, 100_000])
    // Sometimes backwards, as several interfaces make it.
    const earlier = random.oneIn(10) ? random.between(0, 5) : 0
    moments.push([Math.min(seconds - earlier, 2 ** 31 - 1), random.between(0, 999_999_999)])
  }
  for (const format of Object.keys(OPTIONS) as TimeFormat[]) {
    for (const nano of [false, true]) {
      const theirs = tcpdumpTimes(format, nano, moments)
      if (theirs === undefined) return t.skip('no tcpdump')
      assert.deepEqual(timesOf(format, nano, moments), theirs, `${format} ${nano ? 'nano' : 'micro'}`)
    }
  }
})

test('local times of other zones, over a change of the clocks', (t) => {
  // Europe/Berlin leaves summer time at 2023-10-29 01:00 UTC; Kolkata is half an hour off, Chatham three quarters.
  const moments = Array.from({ length: 40 }, (_, i): Moment => [1_698_541_200 - 600 + i * 30, i * 1000])
  for (const zone of ['Europe/Berlin', 'America/New_York', 'Asia/Kolkata', 'Pacific/Chatham', 'UTC']) {
    const theirs = tcpdumpTimes('date', false, moments, zone)
    if (theirs === undefined) return t.skip('no tcpdump')
    // A process of its own: the zone is read once.
    const script = `
      import { TextOutput } from '#src/packet/text-output.js'
      import { TimeText } from '#src/packet/time-text.js'
      const time = new TimeText('date', false), out = new TextOutput()
      for (const [s, n] of ${JSON.stringify(moments)}) { time.write(out, s, n); out.text('\\n') }
      process.stdout.write(out.toText())`
    const ours = execFileSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
      env: { ...process.env, TZ: zone },
      cwd: fileURLToPath(new URL('../', import.meta.resolve('#src/index.js'))),
    })
    assert.deepEqual(ours.replace(/\n$/, '').split('\n'), theirs, zone)
  }
})

const FAR = 2 ** 43
const ERROR = '[Error converting time] '

test('what Date does not know, and times before 1970', () => {
  const moments: Moment[] = [
    [FAR, 5000],
    [-1, 999_999_999],
    [-2, 0],
    [2 ** 62, 0],
    [0, 0],
  ]
  assert.deepEqual(timesOf('epoch', false, moments), [`${FAR}.000005 `, '-0.000001 ', '-2.000000 ', ERROR, '0.000000 '])
  assert.deepEqual(timesOf('epoch', true, moments), [`${FAR}.000005000 `, '-0.000000001 ', '-2.000000000 ', ERROR, '0.000000000 '])
  assert.deepEqual(
    timesOf('date', false, moments).map((text) => text === ERROR),
    [true, false, false, true, false],
  )
  // The first packet is what is counted from, as tcpdump does; the next one of what is not exact is not exact either.
  assert.deepEqual(timesOf('previous', false, moments.slice(1)), [' 00:00:00.000000 ', '-00:00:01.999999 ', ` ${ERROR}`, ` ${ERROR}`])
  assert.deepEqual(timesOf('first', false, moments.slice(1)), [' 00:00:00.000000 ', '-00:00:01.999999 ', ` ${ERROR}`, ' 00:00:00.000001 '])
})
