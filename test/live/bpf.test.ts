/** What the kernel says to programs that are wrong. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { alu, assemble, exit, load } from '#src/bpf/ebpf.js'
import { CaptureError } from '#src/errors.js'
import { BpfCell, createCell, loadXdpProgram } from '#src/kernel/bpf.js'
import { openKernel } from '#src/kernel/system.js'
import { requireRoot } from '../support/privilege.js'

test('a program that the verifier refuses: the error ends with the verifier’s reason, and blames no capability', (t) => {
  if (!requireRoot(t)) return
  const code = assemble([load('w', 'r2', 'r1', 0), load('b', 'r0', 'r2', 0), exit()])
  assert.throws(
    () => loadXdpProgram(openKernel(), 'wrong', code),
    (error) => {
      assert.ok(error instanceof CaptureError)
      assert.equal(error.code, 'SYSTEM_CALL_FAILED')
      assert.equal(error.errnoName, 'EACCES')
      assert.match(error.message, /^wrong: bpf\(BPF_PROG_LOAD, 3 instructions\): [\s\S]*invalid access to packet/)
      return true
    },
  )
})

test('a good program loads, a cell keeps what is written to it', (t) => {
  if (!requireRoot(t)) return
  const kernel = openKernel()
  using program = loadXdpProgram(kernel, 'a name that is too long', assemble([alu('mov', 'r0', 2), exit()]))
  assert.ok(program.fd > 0)
  using map = createCell(kernel, 'cell', 4)
  const writer = new BpfCell(kernel, map.fd, 4)
  writer.words.set([1n, 2n ** 63n, 0n, 42n])
  writer.write()
  const reader = new BpfCell(kernel, map.fd, 4)
  reader.read()
  assert.deepEqual([...reader.words], [1n, 2n ** 63n, 0n, 42n])
})
