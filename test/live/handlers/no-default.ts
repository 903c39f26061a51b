export const packet = () => {}
