/** The kernel's own BTF, beside what bpftool reads in it. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { functionIds, kernelFunctions } from '#src/kernel/btf.js'

const VMLINUX = '/sys/kernel/btf/vmlinux'

test('the same numbers as bpftool finds', (t) => {
  const dump = execFileSync('bpftool', ['btf', 'dump', 'file', VMLINUX], { encoding: 'utf8', maxBuffer: 2 ** 30 })
  const first = new Map<string, number>()
  for (const [, id, name] of dump.matchAll(/^\[(\d+)\] FUNC '([^']+)'/gm)) if (!first.has(name)) first.set(name, Number(id))
  assert.ok(first.size > 10_000, `${first.size}`)
  // The first, the last, and some of each region between them.
  const every = Math.ceil(first.size / 100)
  const names = [...first.keys()].filter((name, i) => i % every === 0 || i === first.size - 1 || /^bpf_xdp_metadata_/.test(name))
  assert.deepEqual(kernelFunctions(names), new Map(names.map((name) => [name, first.get(name) as number])))
  t.diagnostic(`${names.length} of ${first.size} functions`)
  assert.equal(kernelFunctions(['no_such_function_of_the_kernel', 'task_struct']).size, 0)
})

test('quick, although it must be read to the end', (t) => {
  const started = performance.now()
  kernelFunctions(['bpf_xdp_metadata_rx_timestamp', 'no_such_function_of_the_kernel'])
  const ms = performance.now() - started
  t.diagnostic(`${ms.toFixed(1)} ms`)
  // Ten times what it takes alone on a slow machine.
  assert.ok(ms < 500)
})

test('cut anywhere, it is refused', () => {
  const whole = new Uint8Array(readFileSync(VMLINUX))
  for (const length of [0, 10, 24, 1000, whole.length >> 1, whole.length - 1]) {
    assert.throws(() => functionIds(whole.subarray(0, length), ['x']), { name: 'RangeError', message: /^BTF that cannot be read: / })
  }
})
