/** linux/mount.h: mounts that stand nowhere. Since Linux 5.2. */

export const FSOPEN_CLOEXEC = 1
export const FSCONFIG_CMD_CREATE = 6
export const FSMOUNT_CLOEXEC = 1

export const MOUNT_ATTR_NOSUID = 2
export const MOUNT_ATTR_NODEV = 4
export const MOUNT_ATTR_NOEXEC = 8
