/** `ringtap/host`: facts of this machine and its interfaces, plans to tune it, what is wrong with it, and what it can take. */

export { cpuListText } from '../kernel/cpus.js'
export { CPU_STATES, type CpuLoad, type CpuState, type CpuTimes, cpuLoads, parseCpuTimes, readCpuTimes } from './cpu-load.js'
export type * from './facts.js'
export { NIC_ROLES, type NicCounter, type NicCounters, type NicRole, nicCounters } from './nic-counters.js'
export { readHostFacts, readInterfaceFacts } from './read-facts.js'
export type { Arrivals } from './size/arrivals.js'
export { defaultCosts, measuredCosts, type PacketCosts, SIZED_BACKENDS, type SizedBackend } from './size/costs.js'
export type { BlockQueue, SlotQueue } from './size/packet-queue.js'
export { type RingSimulation, type RingSimulationOptions, simulateRing } from './size/simulation.js'
export { type CaptureSize, lineRate, type SizedRing, type SizeOptions, sizeCapture } from './size/size.js'
export { parseSoftnet, readSoftnet, type SoftnetCpu, softnetDifference } from './softnet.js'
