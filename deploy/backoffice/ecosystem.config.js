// syncline db migrate && pm2 start ecosystem.config.js; pm2 save      (logs: pm2 logs, files below ~/.pm2/logs)
// Needs: /opt/backoffice (the application, its .env and its virtual environment); see example.env.
const home = process.env.BACKOFFICE_HOME ?? "/opt/backoffice";

module.exports = {
  apps: [
    {
      name: "backoffice",
      cwd: home,
      script: `${home}/.venv/bin/uvicorn`,
      args: `--factory backoffice.app:create_app --host 127.0.0.1 --port ${process.env.PORT ?? 8000} --no-access-log --timeout-graceful-shutdown 5`,
      interpreter: "none", // it is no script of Node's
      exec_mode: "fork", // never "cluster": that is for Node's own servers
      autorestart: true,
      restart_delay: 2000,
      kill_timeout: 15000, // requests under way end first; an upload that does not is settled by the next process
      merge_logs: true,
      time: false, // each line has its time already
    },
  ],
};
