/** linux/capability.h: numbers of the bits in CapEff and CapPrm of /proc/PID/status. */

export const CAP_NET_ADMIN = 12
export const CAP_NET_RAW = 13
export const CAP_IPC_LOCK = 14
export const CAP_SYS_ADMIN = 21
/** Since Linux 5.8. */
export const CAP_BPF = 39
