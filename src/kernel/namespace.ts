/** Network namespaces: found by name, path or pid, entered by one thread for the length of a call. */

import { CaptureError } from '../errors.js'
import { CLONE_NEWNET, O_CLOEXEC, O_RDONLY } from './abi/process.js'
import { Descriptor } from './descriptor.js'
import { callFailed, ENOENT } from './errno.js'
import type { Kernel } from './system.js'

/** `blue` is /run/netns/blue as ip-netns(8) makes it, `1234` the namespace of that process, anything with a slash a path. */
export function namespacePath(namespace: string): string {
  if (namespace.includes('/')) return namespace
  return /^\d+$/.test(namespace) ? `/proc/${namespace}/ns/net` : `/run/netns/${namespace}`
}

/**
 * Opens a namespace.
 * @throws CaptureError NO_SUCH_NAMESPACE
 */
export function openNamespace(kernel: Kernel, namespace: string): Descriptor {
  const path = namespacePath(namespace)
  const fd = kernel.open(path, O_RDONLY | O_CLOEXEC)
  if (fd >= 0) return new Descriptor(kernel, fd)
  if (fd === -ENOENT) {
    throw new CaptureError('NO_SUCH_NAMESPACE', `no network namespace '${namespace}': ${path} does not exist`, {
      syscall: 'open',
      errno: ENOENT,
      errnoName: 'ENOENT',
      hint: 'ip netns list shows the named ones; a path or a pid works as well',
    })
  }
  throw callFailed({ subject: `namespace '${namespace}'`, call: `open(${path})`, errno: fd, code: 'NO_SUCH_NAMESPACE', capability: 'CAP_SYS_ADMIN' })
}

/**
 * Runs `inside` with this thread in the namespace, and comes back; setns(2) acts on the calling thread alone. `inside` must be
 * synchronous. Without a descriptor it simply runs. Sockets stay in the namespace that they were made in.
 */
export function withNamespace<T>(kernel: Kernel, namespace: Descriptor | undefined, inside: () => T): T {
  if (namespace === undefined) return inside()
  using home = ownNamespace(kernel)
  const entered = kernel.setns(namespace.fd, CLONE_NEWNET)
  if (entered < 0) {
    throw callFailed({ subject: 'network namespace', call: 'setns(CLONE_NEWNET)', errno: entered, code: 'NO_SUCH_NAMESPACE', capability: 'CAP_SYS_ADMIN' })
  }
  let result: T
  try {
    result = inside()
  } catch (error) {
    goHome(kernel, home)
    throw error
  }
  goHome(kernel, home)
  return result
}

function goHome(kernel: Kernel, home: Descriptor): void {
  const back = kernel.setns(home.fd, CLONE_NEWNET)
  // Nothing after this would act where the caller thinks: no way on but out.
  if (back < 0) throw callFailed({ subject: 'network namespace', call: 'setns(CLONE_NEWNET) back', errno: back })
}

/** A descriptor of the calling thread's namespace. */
export function ownNamespace(kernel: Kernel): Descriptor {
  const path = '/proc/thread-self/ns/net'
  const fd = kernel.open(path, O_RDONLY | O_CLOEXEC)
  if (fd < 0) throw callFailed({ subject: 'network namespace', call: `open(${path})`, errno: fd })
  return new Descriptor(kernel, fd)
}

/**
 * Makes a network namespace without a name: it lives as long as a descriptor of it or a thread in it, so nothing is left
 * behind even after kill -9. Other processes reach it by the path /proc/PID/fd/N.
 */
export function createNamespace(kernel: Kernel): Descriptor {
  using home = ownNamespace(kernel)
  const made = kernel.unshare(CLONE_NEWNET)
  if (made < 0) throw callFailed({ subject: 'network namespace', call: 'unshare(CLONE_NEWNET)', errno: made, capability: 'CAP_SYS_ADMIN' })
  let namespace: Descriptor
  try {
    namespace = ownNamespace(kernel)
  } catch (error) {
    goHome(kernel, home)
    throw error
  }
  try {
    goHome(kernel, home)
  } catch (error) {
    namespace.close()
    throw error
  }
  return namespace
}
