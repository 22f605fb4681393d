// Runs checks and tells of each of them in a line: `ok - NAME`, or `not ok - NAME` and why.
const checks = [];
exports.check = (name, work) => checks.push([name, work]);
exports.run = async () => {
  let failed = 0;
  for (const [name, work] of checks) {
    let timer;
    const late = new Promise((_, no) => (timer = setTimeout(() => no(new Error("no end within a minute")), 60000)));
    try {
      await Promise.race([work(), late]);
      console.log(`ok - ${name}`);
    } catch (error) {
      failed = 1;
      console.log(`not ok - ${name}\n${error.stack}`);
    }
    clearTimeout(timer);
  }
  process.exit(failed);
};
