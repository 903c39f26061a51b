/** The opening of AF_XDP sockets on the real kernel, with each of its system calls failing in turn: nothing is left, and the error says what failed. */
import assert from 'node:assert/strict'
import { CaptureError } from '#src/errors.js'
import { compileFilter } from '#src/filter/compile.js'
import { EINVAL, ENOMEM, EPERM } from '#src/kernel/errno.js'
import { openNamespace, withNamespace } from '#src/kernel/namespace.js'
import { type Kernel, openKernel } from '#src/kernel/system.js'
import { XdpSockets, type XdpSpec } from '#src/source/xdp-socket.js'
import { createTestbed, type TestbedEnd } from '#src/testbed/index.js'
import { inNamespace, live, openDescriptors, promiscuity } from '../support/live.js'

/** Undoing must work, and these answer no errno. */
const CANNOT_FAIL: ReadonlySet<string> = new Set(['close', 'munmap', 'view', 'addressOf', 'gettid', 'poll', 'setns'])

/** The kernel, but for its n-th call, which fails. `failed` names that call. */
function failing(n: number, errno: number): Kernel & { failed: string | undefined } {
  const real = openKernel()
  let left = n
  const kernel = { ...real, failed: undefined as string | undefined }
  for (const [name, call] of Object.entries(real) as [string, unknown][]) {
    if (typeof call !== 'function' || CANNOT_FAIL.has(name)) continue
    Object.assign(kernel, {
      [name]: (...values: unknown[]) => {
        if (--left !== 0) return (call as (...values: unknown[]) => unknown)(...values)
        kernel.failed = name === 'bpf' ? `bpf(${values[0]})` : name
        return name === 'mmap' ? BigInt(-errno) : -errno
      },
    })
  }
  return kernel
}

function specOf(end: TestbedEnd, warnings: string[], hints: boolean): XdpSpec {
  return {
    interfaceName: end.interface,
    mode: 'auto',
    workers: 'queues',
    chunkBytes: undefined,
    memoryBytes: 2 ** 18,
    promiscuous: true,
    exclusive: false,
    busyPollUs: 20,
    hints,
    filter: hints ? compileFilter('udp port 53').instructions : undefined,
    maxWorkers: 256,
    report: () => {},
    warn: (message) => warnings.push(message),
  }
}

for (const [errno, hints] of [ENOMEM, EPERM, EINVAL].flatMap((it) => [[it, false] as const, [it, true] as const])) {
  live(`each call in turn fails with errno ${errno}${hints ? ', with hints' : ''}`, (t) => {
    using testbed = createTestbed()
    using namespace = openNamespace(openKernel(), testbed.receiver.netns)
    const open = (kernel: Kernel) =>
      withNamespace(openKernel(), namespace, () => {
        using sockets = XdpSockets.prepare(kernel, specOf(testbed.receiver, [], hints))
        sockets.start()
        return sockets.inForce.mode
      })
    open(openKernel())
    const before = openDescriptors().length
    const survived: string[] = []
    let refused = 0
    for (let n = 1; ; n++) {
      const kernel = failing(n, errno)
      try {
        const mode = open(kernel)
        if (kernel.failed === undefined) break
        // A mode that does not go, a fallback, a call that only looks: the capture goes on without.
        survived.push(`${kernel.failed}: ${mode}`)
      } catch (error) {
        assert.ok(error instanceof CaptureError, `${kernel.failed}: ${error instanceof Error ? error.stack : error}`)
        assert.ok(error.errno === errno || error.code === 'NO_SUCH_INTERFACE' || error.errno === 95, `${kernel.failed}: ${error.message}`)
        refused++
      }
      assert.equal(openDescriptors().length, before, `${kernel.failed}, call ${n}, leaves a descriptor`)
      assert.equal(promiscuity(testbed.receiver), 0, `${kernel.failed}, call ${n}`)
      const shown = inNamespace(testbed.receiver.netns, 'ip', '-d', 'link', 'show', 'dev', testbed.receiver.interface)
      assert.doesNotMatch(shown, /prog\/xdp/, `${kernel.failed}, call ${n}, leaves a program`)
    }
    t.diagnostic(`${refused} calls whose failure is an error, ${survived.length} without which it goes on: ${[...new Set(survived)].join(', ')}`)
    assert.ok(refused > 20)
  })
}
