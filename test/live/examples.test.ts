/** The examples as a reader runs them, on a wire of our own, all at the same time: each for as long as it says itself. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { createTestbed, type Flood, startFlood, type Testbed } from '#src/testbed/index.js'
import { requireRoot } from '../support/privilege.js'

const EXAMPLES = fileURLToPath(new URL('../../../examples/', import.meta.url))
const FRAME_BYTES = 60
const RATE_PPS = 1000
const SOURCES = 5
const LINES = 30
/** The longest example captures for ten seconds. */
const LONGEST_MS = 13_000

const files = readdirSync(EXAMPLES, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.js'))

test(`no example is longer than ${LINES} lines`, () => {
  assert.ok(files.length >= 6)
  for (const file of files) {
    const lines = readFileSync(join(EXAMPLES, file), 'utf8').trimEnd().split('\n').length
    assert.ok(lines <= LINES, `${file}: ${lines} lines`)
  }
})

describe('examples', { concurrency: true }, () => {
  let testbed: Testbed
  let flood: Flood

  before(async () => {
    if (process.getuid?.() !== 0) return
    testbed = createTestbed()
    flood = await startFlood({ ...testbed.sender, ratePps: RATE_PPS, sources: SOURCES, frameBytes: FRAME_BYTES, durationMs: LONGEST_MS })
  })
  after(async () => {
    await flood?.stop()
    testbed?.close()
  })

  /** The lines that an example prints. Whatever it says on stderr, or a status other than 0, fails. */
  async function linesOf(file: string): Promise<string[]> {
    const { interface: name, netns } = testbed.receiver
    return new Promise((resolve, reject) => {
      execFile(process.execPath, [join(EXAMPLES, file), name, netns], { timeout: 2 * LONGEST_MS }, (error, stdout, stderr) => {
        if (error !== null || stderr !== '') reject(new Error(`${file}: ${error?.message ?? ''}${stderr}`))
        else resolve(stdout.trimEnd().split('\n'))
      })
    })
  }

  const tested = new Set<string>()
  const example = (file: string, check: (lines: string[]) => void) => {
    tested.add(file)
    test(file, async (t) => {
      if (requireRoot(t)) check(await linesOf(file))
    })
  }

  /** Within a factor of two: how the machine's other work shifts a second. */
  const near = (value: number, expected: number) => assert.ok(value > expected / 2 && value < expected * 2, `${value}, not near ${expected}`)

  example('count.js', (lines) => {
    const total = /^(\d+) packets, 0 dropped$/.exec(lines.pop() ?? '')
    assert.ok(total !== null, 'a total without drops')
    near(Number(total[1]), 10 * RATE_PPS)
    const seconds = lines.map((line) => /^(\d+) packets\/s, (\d+) bits\/s, 0 dropped$/.exec(line) ?? assert.fail(line))
    assert.ok(seconds.length >= 9 && seconds.length <= 11, `${seconds.length} lines`)
    const full = seconds.slice(0, 9).map(([, packets, bits]) => ({ packets: Number(packets), bits: Number(bits) }))
    near(full.reduce((sum, { packets }) => sum + packets, 0) / full.length, RATE_PPS)
    // Both are rounded.
    for (const { packets, bits } of full) assert.ok(Math.abs(bits - packets * FRAME_BYTES * 8) <= FRAME_BYTES * 8, `${bits} bits of ${packets} packets`)
  })

  example('iterate.js', (lines) => {
    assert.equal(lines.length, 10)
    const times = lines.map((line) => {
      // The flood's destination, a veth's address, IPv4.
      const found = /^(\d\d:\d\d:\d\d\.\d{9}) (\d+) bytes 02005e100001[0-9a-f]{12}0800$/.exec(line)
      assert.equal(Number(found?.[2]), FRAME_BYTES, line)
      return found?.[1] as string
    })
    assert.deepEqual(times, times.toSorted())
  })

  example('own-handler.js', (lines) => {
    const seen = lines.map((line) => {
      const found = /^(\d+) \{ syn: (\d+), otherTcp: 0, other: 0 \}$/.exec(line)
      assert.ok(found !== null, line)
      return { perSecond: Number(found[1]), syn: Number(found[2]) }
    })
    assert.ok(seen.length >= 4 && seen.length <= 6, `${seen.length} lines`)
    for (const [index, { syn }] of seen.entries()) assert.ok(index === 0 || syn >= (seen[index - 1] as { syn: number }).syn)
    near(seen.at(-1)?.syn ?? 0, 5 * RATE_PPS)
  })

  example('top-sources.js', (lines) => {
    const counts = lines.map((line) => {
      const found = /^10\.0\.0\.(\d+) +(\d+)$/.exec(line)
      assert.ok(found !== null && Number(found[1]) < SOURCES, line)
      return Number(found[2])
    })
    assert.equal(counts.length, SOURCES)
    assert.deepEqual(
      counts,
      counts.toSorted((a, b) => b - a),
    )
    near(
      counts.reduce((a, b) => a + b, 0),
      10 * RATE_PPS,
    )
  })

  test('none is left untested', () => {
    assert.deepEqual([...tested].sort(), files.filter((file) => !file.includes('/')).sort())
  })
})
