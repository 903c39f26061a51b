// For projects whose own lib does not know AsyncDisposable.
/// <reference lib="esnext.disposable" preserve="true" />
/** `ringtap/testbed`: a wire of our own and a flood on it, made by the kernel. What `ringtap bench` and the live tests run on. */
export type { FloodKind } from '../bpf/flood-program.js'
export { type Flood, type FloodOptions, type FloodResult, startFlood } from './flood.js'
export { createTestbed, type Testbed, type TestbedEnd, type TestbedOptions, type WireCounters } from './veth.js'
