/** docs/scaling.md shows commands and their output: both are run again. UPDATE_GOLDEN=1 writes the outputs anew. */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Io } from '#src/cli/io.js'
import { parseArguments } from '#src/cli/parse.js'
import { runSize } from '#src/cli/size.js'
import { defaultCosts } from '#src/host/index.js'
import { planCapture } from '#src/index.js'

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

test('the commands that a size ends with are captures that can be planned', () => {
  for (const backend of ['ring', 'xdp']) {
    for (const frame of ['64', '3000']) {
      const command =
        outputOf(`ringtap size --rate 10G --frame ${frame} --cores 16 --memory 64G --backend ${backend}`)
          .at(-1)
          ?.replace(/^command +/, '') ?? ''
      const invocation = parseArguments(command.replace('IFACE', 'eth0').split(' ').slice(1))
      assert.ok(invocation.run === 'capture')
      const { ring, chunk, workers, block } = invocation.values
      assert.ok(ring !== undefined && 'bytes' in ring, command)
      const plan = planCapture(
        { interface: 'eth0', backend: invocation.values.backend, workers, ringBytes: ring.bytes, blockBytes: block, chunkBytes: chunk },
        { pageSize: 4096, cpus: [0], availableMemoryBytes: 64 * 2 ** 30 },
      )
      assert.equal(plan.backend, backend)
    }
  }
})
