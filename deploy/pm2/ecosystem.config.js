// pm2 start ecosystem.config.js; pm2 save      (logs: pm2 logs, files below ~/.pm2/logs)
// Needs: /opt/studybuddy (the application and its virtual environment), DATABASE_URL and MONGODB_URL in the environment of `pm2 start`
// (after a change: pm2 restart ecosystem.config.js --update-env).
const home = process.env.SYNCLINE_HOME ?? "/opt/studybuddy";

const common = {
  cwd: home,
  interpreter: "none", // it is no script of Node's
  exec_mode: "fork", // never "cluster": that is for Node's own servers
  autorestart: true,
  restart_delay: 2000,
  kill_timeout: 15000, // a worker finishes its batch and gives its lanes back in less than 5 s; PM2 kills after 1.6 s otherwise
  merge_logs: true,
  time: false, // each line has its time already
};

module.exports = {
  apps: [
    { ...common, name: "syncline-worker", script: `${home}/.venv/bin/syncline`, args: "worker", instances: 2 },
    { ...common, name: "syncline-page", script: `${home}/.venv/bin/syncline`, args: "serve" },
  ],
};
