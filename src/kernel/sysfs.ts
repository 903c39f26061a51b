/**
 * sysfs of one network namespace. What /sys shows of interfaces belongs to the namespace in which it was mounted, whichever one the reader is
 * in; here it is mounted anew, in no place, for the namespace of the calling thread.
 */
import { FSCONFIG_CMD_CREATE, FSMOUNT_CLOEXEC, FSOPEN_CLOEXEC, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID } from './abi/mount.js'
import { Descriptor } from './descriptor.js'
import { callFailed } from './errno.js'
import type { Kernel } from './system.js'

/**
 * A descriptor of a sysfs that no mount table shows and that goes when it is closed: its files are read and written below
 * /proc/self/fd/N, by any thread of the process. Takes half a millisecond. Since Linux 5.2.
 * @throws CaptureError PERMISSION without CAP_SYS_ADMIN; ENOSYS before Linux 5.2.
 */
export function openSysfs(kernel: Kernel): Descriptor {
  const fd = kernel.fsopen('sysfs', FSOPEN_CLOEXEC)
  if (fd < 0) throw failed('fsopen(sysfs)', fd)
  using context = new Descriptor(kernel, fd)
  const created = kernel.fsconfig(context.fd, FSCONFIG_CMD_CREATE)
  if (created < 0) throw failed('fsconfig(FSCONFIG_CMD_CREATE)', created)
  const mount = kernel.fsmount(context.fd, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)
  if (mount < 0) throw failed('fsmount(sysfs)', mount)
  return new Descriptor(kernel, mount)
}

function failed(call: string, errno: number): Error {
  return callFailed({ subject: 'sysfs', call, errno, capability: 'CAP_SYS_ADMIN', hint: 'another namespace is read since Linux 5.2' })
}
