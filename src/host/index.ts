/** `ringtap/host`: facts of this machine and its interfaces, plans to tune it, what is wrong with it, and what it can take. */

export { CPU_STATES, type CpuLoad, type CpuState, type CpuTimes, cpuLoads, parseCpuTimes, readCpuTimes } from './cpu-load.js'
export type * from './facts.js'
export { NIC_ROLES, type NicCounter, type NicCounters, type NicRole, nicCounters } from './nic-counters.js'
export { parseSoftnet, readSoftnet, type SoftnetCpu, softnetDifference } from './softnet.js'
