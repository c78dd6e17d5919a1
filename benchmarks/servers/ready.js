// What every Node server here does once it listens: see ready.py.

module.exports = function announce() {
  process.on("SIGUSR2", () => global.gc && global.gc());
  console.log("READY");
};
