/** docs/scaling.md shows commands and their output: both are run again. UPDATE_GOLDEN=1 writes the outputs anew. */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Io } from '#src/cli/io.js'
import { parseArguments } from '#src/cli/parse.js'
import { runSize } from '#src/cli/size.js'
import { defaultCosts, sizeCapture } from '#src/host/index.js'
import { planCapture } from '#src/index.js'
import { seededRandom } from '../../support/random.js'

const path = fileURLToPath(new URL('../docs/scaling.md', import.meta.resolve('#src/index.js')))

/** What a command line prints. */
function outputOf(command: string): string[] {
  const lines: string[] = []
  const invocation = parseArguments(command.split(' ').slice(1))
  assert.ok(invocation.run === 'size')
  runSize(invocation.values, { out: (line: string) => lines.push(line) } as unknown as Io)
  return lines
}

/** A row of the table for each command that is shown. */
function tableOf(commands: readonly string[]): string[] {
  const rows = commands.map((command) => {
    const lines = outputOf(command)
    const cell = (name: string) =>
      lines
        .find((line) => line.startsWith(`${name} `))
        ?.slice(name.length)
        .trim() ?? ''
    const [traffic = '', verdict = ''] = (lines[0] as string).split(/: (?=fits|does not)/)
    const shown = [
      traffic,
      cell('backend'),
      cell('workers').split(',')[0],
      cell('load a core').split(':')[0],
      cell('memory').split(' for')[0],
      verdict.split(':')[0],
    ]
    return `| ${shown.join(' | ')} |`
  })
  return ['| traffic | backend | workers, cores, queues | load a core | memory for rings | |', '|---|---|---|---|---|---|', ...rows]
}

test('every command of docs/scaling.md prints what stands there', () => {
  const text = readFileSync(path, 'utf8')
  const commands: string[] = []
  const withOutputs = text.replaceAll(/^```\n\$ (ringtap size .*)\n[^`]*?```$/gm, (_, command: string) => {
    commands.push(command)
    // The source of the costs is the same everywhere, and long.
    const lines = outputOf(command).map((line) => line.replace(` (${defaultCosts('ring').source})`, ''))
    return ['```', `$ ${command}`, ...lines, '```'].join('\n')
  })
  const whole = withOutputs.replace(/<!-- sizes -->\n[\s\S]*<!-- \/sizes -->/, `<!-- sizes -->\n${tableOf(commands).join('\n')}\n<!-- /sizes -->`)
  assert.ok(commands.length >= 8)
  if (process.env.UPDATE_GOLDEN === '1') writeFileSync(path, whole)
  assert.equal(readFileSync(path, 'utf8'), whole)
})

/** As `capture` would, on a machine that has the memory. */
function planOf(command: string, pageSize = 4096) {
  const invocation = parseArguments(command.replace('IFACE', 'eth0').split(' ').slice(1))
  assert.ok(invocation.run === 'capture')
  const { ring, chunk, workers, block, backend } = invocation.values
  assert.ok(ring !== undefined && 'bytes' in ring, command)
  return planCapture(
    { interface: 'eth0', backend, workers, ringBytes: ring.bytes, blockBytes: block, chunkBytes: chunk },
    { pageSize, cpus: [0], availableMemoryBytes: 2 ** 50 },
  )
}

test('the commands that a size ends with are captures that can be planned', () => {
  for (const backend of ['ring', 'xdp']) {
    for (const frame of ['64', '3000']) {
      const command =
        outputOf(`ringtap size --rate 10G --frame ${frame} --cores 16 --memory 64G --backend ${backend}`)
          .at(-1)
          ?.replace(/^command +/, '') ?? ''
      assert.equal(planOf(command).backend, backend)
    }
  }
})

test('so they are whatever is sized, and have its rings', (t) => {
  const random = seededRandom(t)
  const costs = () => ({ kernelNs: 1, workerNs: 1, source: '' })
  for (let round = 0; round < 200; round++) {
    const backend = random.pick(['ring', 'xdp'] as const)
    const pageSizeBytes = random.pick([4096, 16_384, 65_536])
    const options = {
      backend,
      pageSizeBytes,
      costs,
      // Of few packets in the whole: what is planned, not what is simulated, is looked at.
      packetsPerSecond: random.between(1, 10 ** random.between(0, 5)),
      lineBitsPerSecond: 10e9,
      frameBytes: random.between(64, backend === 'xdp' ? 3000 : 9216),
      holdMs: random.between(0, 10 ** random.between(0, 4)),
      burstMs: random.between(1, random.pick([1, 10, 100])),
      cores: random.between(1, 256),
      memoryBytes: 2 ** 40,
      load: random.pick([0.01, 1]),
    }
    const { command, ring, workers } = sizeCapture(options)
    const told = JSON.stringify({ ...options, command })
    const plan = planOf(command, pageSizeBytes)
    assert.deepEqual([plan.backend, plan.workersPerInterface], [backend, workers], told)
    if ('chunkBytes' in ring) assert.deepEqual([plan.xdp.memoryBytes, plan.xdp.chunkBytes ?? 2048], [ring.bytes, ring.chunkBytes], told)
    else assert.deepEqual([plan.ring.blockBytes, plan.ring.blockCount], [ring.blockBytes, ring.blockCount], told)
  }
})
